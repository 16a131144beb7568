/** The sockets of each local address as control holds them, and whether they ask the kernel for trains of datagrams. */
import { EspalierError } from "../errors.ts";
import { familyOf } from "../ip-address.ts";
import { overrunsOf } from "../linux/socket.ts";
import { enableTos } from "../linux/tos.ts";
import { disableUdpGro, enableUdpGro } from "../linux/udp-gro.ts";
import { MAX_ADDRESSES, type SocketTable } from "./socket-table.ts";

export interface SocketOptions {
  /** Local address that they are bound to, canonical. */
  readonly address: string;
  /** Non-blocking; one a worker, or none at all. */
  readonly udp: readonly number[];
  readonly raw: readonly number[];
  /**
   * A UDP socket of the same port that the caller reads. It gets trains of datagrams too (see udp-gro.ts), which begin with
   * one that is no ESP: what is ESP in them goes to `deliver`.
   */
  readonly control?: number;
}

interface LocalAddress {
  readonly address: string;
  /** Its UDP sockets. */
  readonly group: readonly number[];
  /** Sockets that workers read: one a worker in each list that is not empty. */
  readonly read: readonly (readonly number[])[];
  /** They ask for trains. */
  trains: boolean;
}

const usage = (message: string): EspalierError => new EspalierError("ESPALIER_USAGE", message);

export class PlaneSockets {
  readonly #table: SocketTable;
  readonly #workers: number;
  readonly #addresses: LocalAddress[] = [];

  constructor(table: SocketTable, workers: number) {
    this.#table = table;
    this.#workers = workers;
  }

  add({ address, udp, raw, control }: SocketOptions): void {
    if (this.row(address) >= 0) throw usage(`${address} has its sockets already`);
    if (this.#addresses.length === MAX_ADDRESSES) throw usage(`more than ${MAX_ADDRESSES} local addresses`);
    for (const fds of [udp, raw])
      if (fds.length !== 0 && fds.length !== this.#workers)
        throw usage(`${fds.length} sockets for ${this.#workers} workers`);
    const group = control === undefined ? udp : [control, ...udp];
    for (const fd of group) enableUdpGro(fd);
    for (const fd of [...udp, ...raw]) enableTos(fd, familyOf(address)); // refused: marks on the way are not seen
    this.#addresses.push({ address, group, read: [udp, raw], trains: true });
    this.#table.publish(this.#addresses.length - 1, familyOf(address), udp, raw);
  }

  /** What the kernel dropped that came for sockets of this worker. */
  overruns(worker: number): number {
    let count = 0;
    for (const { read } of this.#addresses)
      for (const { [worker]: fd } of read) if (fd !== undefined) count += overrunsOf(fd);
    return count;
  }

  /** Of the socket table, -1 for an address without sockets. */
  row(address: string): number {
    return this.#addresses.findIndex((local) => local.address === address);
  }

  /**
   * Where workers got trains that mixed SAs of several of them, ask for trains no longer: packets that take two ways to
   * their worker may overtake each other. Returns those addresses.
   */
  endMixedTrains(): string[] {
    return this.#addresses
      .filter((local, row) => this.#table.takeMixed(row) && local.trains)
      .map((local) => {
        local.trains = false;
        for (const fd of local.group) disableUdpGro(fd);
        return local.address;
      });
  }
}
