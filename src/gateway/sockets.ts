/**
 * All sockets of the gateway, per local address: IKE's two for the control thread, and for each worker one of the UDP
 * group that IKE and ESP share (RFC 3948) and a raw one for ESP as protocol 50.
 */

import type { Steering } from "../linux/esp-steering.ts";
import { close } from "../linux/libc.ts";
import { markSocket } from "../linux/marked-socket.ts";
import { openRawEsp } from "../linux/raw-esp.ts";
import { closeUdpGroup, openUdpGroup, type UdpGroup } from "../linux/udp.ts";
import { IkeSockets, type IkeSocketsOptions } from "./ike-sockets.ts";

export interface WorkerSockets {
  readonly address: string;
  readonly udp: readonly number[];
  readonly raw: readonly number[];
  /** IKE's socket on the port that it shares with ESP. */
  readonly control: number;
}

export class GatewaySockets {
  readonly ike: IkeSockets;
  readonly #nattPort: number;
  readonly #mark: number | undefined;
  readonly #groups: UdpGroup[] = [];
  readonly #raw: number[] = [];

  constructor(options: IkeSocketsOptions) {
    this.ike = new IkeSockets(options);
    this.#nattPort = options.nattPort;
    this.#mark = options.mark;
  }

  /**
   * Open everything for one local address. Throws EspalierError: ESPALIER_IN_USE, ESPALIER_PRIVILEGE, ESPALIER_CONFIG for
   * an address that is not this machine's. `close` cleans up also after that.
   */
  async open(address: string, steering: Steering): Promise<WorkerSockets> {
    const group = openUdpGroup({ address, port: this.#nattPort, ...steering });
    this.#groups.push(group);
    const raw: number[] = [];
    for (let worker = 0; worker < steering.workers; worker++) {
      const fd = openRawEsp({ address, worker, ...steering });
      this.#raw.push(fd);
      raw.push(fd);
    }
    if (this.#mark !== undefined)
      for (const fd of [group.control, ...group.workers, ...raw]) markSocket(fd, this.#mark);
    await this.ike.open(address, group.control);
    return { address, udp: group.workers, raw, control: group.control };
  }

  /** Close all. Call when no worker uses them any more. */
  async close(): Promise<void> {
    await this.ike.close();
    for (const group of this.#groups.splice(0)) closeUdpGroup(group, { keepControl: true });
    for (const fd of this.#raw.splice(0)) close(fd);
  }
}
