/** A box between two sites: it takes their datagrams one by one, says which TOS each had, and may send it on with another. */
import { addressBytes, familyOf } from "../../src/ip-address.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET, AF_INET6 } from "../../src/linux/sockaddr.ts";
import { bindTo, boundEndpoint, openSocket, SOCK_DGRAM } from "../../src/linux/socket.ts";
import { addTos, enableTos, receivedTos, TOS_CONTROL_ROOM } from "../../src/linux/tos.ts";

const ROOM = 65_536;

export class TosRelay {
  readonly port: number;
  readonly #fd: number;
  readonly #family: 4 | 6;
  readonly #to: { readonly address: string; readonly port: number };
  readonly #messages: MsgBatch;

  constructor(address: string, to: { readonly address: string; readonly port: number }) {
    this.#family = familyOf(address);
    this.#to = to;
    this.#fd = openSocket(address, SOCK_DGRAM, 0, "relay");
    bindTo(this.#fd, { address, port: 0 }, "relay");
    enableTos(this.#fd, this.#family);
    this.port = boundEndpoint(this.#fd).port;
    this.#messages = new MsgBatch({ slab: Memory.allocate(ROOM), capacity: 1, controlRoom: TOS_CONTROL_ROOM });
  }

  /** Pass on all that waits with the TOS that `mark` makes of its own. Returns what came: TOS and octets of each datagram. */
  pass(mark: (tos: number) => number = (tos) => tos): { readonly tos: number; readonly length: number }[] {
    const messages = this.#messages;
    const family = this.#family === 4 ? AF_INET : AF_INET6;
    const seen: { tos: number; length: number }[] = [];
    for (;;) {
      messages.setBuffer(0, 0, ROOM);
      if (messages.receive(this.#fd, 0, 1) !== 1) return seen;
      const length = messages.length(0);
      const tos = receivedTos(messages, 0);
      seen.push({ tos, length });
      messages.setBuffer(0, 0, length);
      messages.setPeer(0, family, addressBytes(this.#to.address), 0, this.#to.port);
      messages.setControlLength(0, 0);
      addTos(messages, 0, this.#family, mark(tos));
      if (messages.send(this.#fd, 0, 1) !== 1) throw new Error("the relay cannot send");
    }
  }

  close(): void {
    libc.close(this.#fd);
  }
}
