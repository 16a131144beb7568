/** Virtual time: things happen when the test lets time pass, in order, those of one moment in the order they were asked for. */
interface Appointment {
  readonly at: number;
  readonly what: () => void;
}

export class Clock {
  now = 0;
  #appointments: Appointment[] = [];

  at(time: number, what: () => void): void {
    const appointment = { at: Math.max(time, this.now), what };
    const index = this.#appointments.findIndex(({ at }) => at > appointment.at);
    if (index < 0) this.#appointments.push(appointment);
    else this.#appointments.splice(index, 0, appointment);
  }

  /** When something happens next. */
  get next(): number {
    return this.#appointments[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Move to `time`, which nothing happens before, and do the first thing that is due. False when there is none. */
  step(time: number): boolean {
    this.now = Math.max(this.now, time);
    const [first] = this.#appointments;
    if (first === undefined || first.at > this.now) return false;
    this.#appointments.shift();
    first.what();
    return true;
  }
}
