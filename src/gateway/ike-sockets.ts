/**
 * The control thread's UDP sockets: for each local address one on the IKE port and one on the port that IKE shares with
 * ESP in UDP (RFC 3948), where every IKE message has four zero octets in front of it, the non-ESP marker.
 */
import { createSocket, type Socket, type SocketOptions } from "node:dgram";
import { EspalierError } from "../errors.ts";
import type { Path } from "../ike/effect.ts";
import { type Endpoint, familyOf, formatEndpoint, sourceEndpoint } from "../ip-address.ts";
import { markPackets, openIkePort } from "../linux/ike-port.ts";
import { markSocket } from "../linux/marked-socket.ts";

const MARKER = new Uint8Array(4);
/** RFC 7296 §3.1: an IKE header ends with the length of the message, header included. */
const LENGTH_AT = 24;
const MARKED_HEADER = MARKER.length + LENGTH_AT + 4;

const isMarked = (datagram: Buffer): boolean => datagram.length >= 4 && datagram.readUInt32BE(0) === 0;

/** RFC 3948 §2.3: one octet that keeps a NAT's mapping; the receiver ignores it. */
const KEEPALIVE = new Uint8Array([0xff]);

export interface IkeSocketsOptions {
  readonly ikePort: number;
  readonly nattPort: number;
  /** Of what is sent, 0..63 (RFC 2474). */
  readonly dscp: number;
  /** Of what is sent, for routing rules (SO_MARK). */
  readonly mark?: number | undefined;
  /** An IKE message, marker removed. */
  readonly onMessage: (bytes: Uint8Array, path: Path) => void;
  /** An ESP packet that came in one train with an IKE message. */
  readonly onEsp: (bytes: Uint8Array, remote: Endpoint) => void;
  /** A datagram, or a train of them, came from where no answer can go. */
  readonly onBadSource: () => void;
  /** A datagram could not be sent: the message is lost as it would be on the wire. */
  readonly onSendError: (path: Path, error: Error) => void;
}

export class IkeSockets {
  readonly #options: IkeSocketsOptions;
  readonly #sockets = new Map<string, Socket>();

  constructor(options: IkeSocketsOptions) {
    this.#options = options;
  }

  /**
   * Bind the IKE port of `address`, and take over `nattFd`, a descriptor bound to its NAT-T port already.
   * Throws EspalierError: ESPALIER_IN_USE, ESPALIER_PRIVILEGE, ESPALIER_CONFIG when the address is not this machine's.
   */
  async open(address: string, nattFd: number): Promise<void> {
    const { ikePort, nattPort, dscp, mark } = this.#options;
    markPackets(nattFd, address, dscp);
    await this.#listen({ address, port: nattPort }, nattFd);
    const ikeFd = openIkePort({ address, port: ikePort });
    markPackets(ikeFd, address, dscp);
    if (mark !== undefined) markSocket(ikeFd, mark);
    await this.#listen({ address, port: ikePort }, ikeFd);
  }

  /**
   * Send one IKE message. A path whose local end is none of ours is a bug and throws a RangeError; whatever its remote end is,
   * `onSendError` hears of it.
   */
  send(path: Path, bytes: Uint8Array): void {
    const message = path.local.port === this.#options.nattPort ? [MARKER, bytes] : [bytes];
    this.#transmit(path, message);
  }

  /** Keep the NAT's mapping for this path alive. */
  keepalive(path: Path): void {
    this.#transmit(path, [KEEPALIVE]);
  }

  async close(): Promise<void> {
    const closing = [...this.#sockets.values()].map(
      (socket) => new Promise<void>((done) => socket.close(() => done())),
    );
    this.#sockets.clear();
    await Promise.all(closing);
  }

  #transmit(path: Path, parts: readonly Uint8Array[]): void {
    const socket = this.#sockets.get(formatEndpoint(path.local));
    if (socket === undefined) throw new RangeError(`no socket at ${formatEndpoint(path.local)}`);
    try {
      socket.send(parts, path.remote.port, path.remote.address, (error) => {
        if (error !== null) this.#options.onSendError(path, error);
      });
    } catch (error) {
      // Node's own check of a port, or of a socket that has just been closed.
      this.#options.onSendError(path, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /**
   * RFC 3948 §2.2: four zero octets are IKE; anything else here is a keepalive, or ESP that the kernel should not have given
   * us. It may be a train of datagrams (UDP_GRO), all as long as the first but the last, and node does not tell their length;
   * but an IKE message tells its own.
   */
  #receiveMarked(train: Buffer, path: Path): void {
    if (!isMarked(train)) return;
    const length = train.length < MARKED_HEADER ? 0 : MARKER.length + train.readUInt32BE(MARKER.length + LENGTH_AT);
    const size = length < MARKED_HEADER ? train.length : Math.min(length, train.length);
    for (let at = 0; at < train.length; at += size) {
      const datagram = train.subarray(at, at + size);
      if (isMarked(datagram)) this.#options.onMessage(datagram.subarray(MARKER.length), path);
      else this.#options.onEsp(datagram, path.remote);
    }
  }

  /** Takes over `fd`, which is bound to `local`. */
  async #listen(local: Endpoint, fd: number): Promise<void> {
    const family = familyOf(local.address);
    // Peers are addresses by now: asking the resolver would cost each datagram a turn of the event loop.
    const lookup: SocketOptions["lookup"] = (address, _options, found) => found(null, address, family);
    const socket = createSocket(family === 4 ? { type: "udp4", lookup } : { type: "udp6", ipv6Only: true, lookup });
    await new Promise<void>((bound, failed) => {
      socket.once("error", (error: NodeJS.ErrnoException) => {
        socket.close();
        failed(
          new EspalierError("ESPALIER_PLATFORM", `UDP ${formatEndpoint(local)}: ${error.message}`, { cause: error }),
        );
      });
      socket.bind({ fd }, bound);
    });
    socket.removeAllListeners("error");
    socket.on("error", (error) => this.#options.onSendError({ local, remote: local }, error));
    const marked = local.port === this.#options.nattPort;
    socket.on("message", (datagram, from) => {
      const remote = sourceEndpoint(from.address, from.port);
      if (remote === undefined) this.#options.onBadSource();
      else if (marked) this.#receiveMarked(datagram, { local, remote });
      else this.#options.onMessage(datagram, { local, remote });
    });
    this.#sockets.set(formatEndpoint(local), socket);
  }
}
