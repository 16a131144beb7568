/** What a worker sends to and receives from itself by, to warm up: sockets as its own will be, on the loopback interface. */
import { randomBytes } from "node:crypto";
import { close } from "../linux/libc.ts";
import { openRawEsp } from "../linux/raw-esp.ts";
import { openSocketPair } from "../linux/socket-pair.ts";
import { enableTos } from "../linux/tos.ts";
import { closeUdpGroup, openUdpGroup } from "../linux/udp.ts";
import { enableUdpGro } from "../linux/udp-gro.ts";
import type { SocketTable } from "./socket-table.ts";

export interface RehearsalWire {
  readonly address: string;
  readonly port: number;
  /** What SAs it carries: ESP in UDP, or IP protocol 50. */
  readonly encaps: readonly boolean[];
  readonly close: () => void;
}

/** Row by which packets are sent. */
export const SENDING_ROW = 0;
const RECEIVING_ROW = 1;

/**
 * An address of the loopback network that nobody else uses: a raw socket is given what comes for any other on its address.
 * Where that network is down, a queue in memory takes its place. Throws when there are no descriptors left.
 */
export const openWire = (table: SocketTable, slotBits: number): RehearsalWire => {
  const address = `127.${randomBytes(3).join(".")}`;
  const steering = { workers: 1, slotBits };
  try {
    const group = openUdpGroup({ address, port: 0, ...steering });
    const raw = rawSocket(address, slotBits);
    for (const fd of group.workers) enableUdpGro(fd);
    for (const fd of [...group.workers, ...raw]) enableTos(fd, 4);
    table.publish(SENDING_ROW, 4, group.workers, raw);
    return {
      address,
      port: group.port,
      encaps: raw.length > 0 ? [true, false] : [true],
      close: () => {
        closeUdpGroup(group);
        for (const fd of raw) close(fd);
      },
    };
  } catch {
    return memoryWire(table);
  }
};

/** None where we lack the right to it. */
const rawSocket = (address: string, slotBits: number): readonly number[] => {
  try {
    return [openRawEsp({ address, worker: 0, workers: 1, slotBits })];
  } catch {
    return [];
  }
};

/** What is sent by the one end as IP protocol 50, since the queue knows no trains, comes to the other as if in UDP. */
export const memoryWire = (table: SocketTable): RehearsalWire => {
  const [out, back] = openSocketPair();
  table.publish(SENDING_ROW, 4, [out], [out]);
  table.publish(RECEIVING_ROW, 4, [back], []);
  return {
    address: "127.0.0.1",
    port: 0,
    encaps: [false],
    close: () => {
      close(out);
      close(back);
    },
  };
};
