/** One call into the core: the time it is, what has been decided so far, and the state that all IKE SAs share. */
import type { Path } from "./child-sa-params.ts";
import type { Core } from "./core.ts";
import type { Effect, LogFields, LogLevel } from "./effect.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Exchanged } from "./key-works.ts";
import { LogAllowance } from "./log-allowance.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Peering } from "./peering.ts";

/** Whom a log line is about. */
export interface Named {
  readonly connection: string | undefined;
}

export class Turn {
  readonly core: Core;
  readonly now: number;
  readonly effects: Effect[] = [];
  /** The key exchange whose result made this turn, while what waited for it is done. */
  exchanged: Exchanged | undefined;

  constructor(core: Core, now: number) {
    this.core = core;
    this.now = now;
  }

  readonly random = (length: number): Uint8Array => this.core.env.random(length);

  /** Uniform in [0, 1). */
  fraction(): number {
    const [a = 0, b = 0, c = 0] = this.random(3);
    return ((a << 16) | (b << 8) | c) / 2 ** 24;
  }

  /** `time` made shorter by up to `share` of itself, so that two peers and many connections do not move in step. */
  jittered(time: number, share: number): number {
    return time * (1 - share * this.fraction());
  }

  /** It may have something due sooner than it had, or nothing any more. */
  touch(subject: IkeSa | Peering): void {
    this.core.wakes.touch(subject);
  }

  send(path: Path, bytes: Uint8Array): void {
    this.effects.push({ kind: "send", path, bytes });
  }

  sendAll(path: Path, { datagrams }: Pick<Outgoing, "datagrams">): void {
    for (const bytes of datagrams) this.send(path, bytes);
  }

  count(reason: string, by = 1): void {
    this.core.counters[reason] = (this.core.counters[reason] ?? 0) + by;
  }

  log(level: LogLevel, event: string, about: Named, message: string, fields?: LogFields): void {
    this.effects.push({
      kind: "log",
      level,
      event,
      ...(about.connection === undefined ? {} : { connection: about.connection }),
      message,
      ...(fields === undefined ? {} : { fields }),
    });
  }

  /**
   * For what anyone can provoke: of each event at most ten lines in ten seconds, the rest is counted. A `message` that is a
   * function is made for those alone.
   */
  logUnproven(event: string, about: Named, message: string | (() => string), fields?: LogFields): void {
    const { unprovenLogs } = this.core;
    const allowance = unprovenLogs.get(event) ?? new LogAllowance();
    unprovenLogs.set(event, allowance);
    if (allowance.allow(this.now))
      this.log("warn", event, about, typeof message === "function" ? message() : message, fields);
    else this.count("logs-suppressed");
  }
}
