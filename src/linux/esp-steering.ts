/**
 * Which worker an SPI names. The receiver chooses its SPIs (RFC 4301 §4.4.2.1), so it chooses the worker:
 * slot = SPI mod 2^slotBits, worker = slot mod workers. The kernel follows the same rule in the two programs below.
 */
import { assemble, bpf } from "./bpf.ts";

/** SPIs 0 to 255 name no SA: 0 is the non-ESP marker (RFC 3948 §2.2), the rest are reserved (RFC 4303 §2.1). */
export const FIRST_SPI = 256;

export interface Steering {
  /** 1..64. Any number, not only powers of two. */
  readonly workers: number;
  /** The low bits of an SPI that are its slot, 1..24. */
  readonly slotBits: number;
}

const ESP_HEADER = 8; // SPI and sequence number, RFC 4303 §2

const check = ({ workers, slotBits }: Steering): void => {
  if (!Number.isInteger(workers) || workers < 1 || workers > 64) throw new RangeError(`not 1..64 workers: ${workers}`);
  if (!Number.isInteger(slotBits) || slotBits < 1 || slotBits > 24) throw new RangeError(`not 1..24 bits: ${slotBits}`);
};

export const workerOf = (spi: number, { workers, slotBits }: Steering): number => (spi & (2 ** slotBits - 1)) % workers;

/**
 * For a UDP port group: 0, the control thread's socket, for IKE (non-ESP marker), NAT-keepalives and whatever is too
 * short or reserved; 1 + worker for ESP. Sees the UDP payload first.
 */
export const udpSteering = (steering: Steering): Uint8Array => {
  check(steering);
  return assemble([
    bpf.loadLength(),
    bpf.ifAtLeast(ESP_HEADER, { no: "control" }), // a NAT-keepalive is one octet 0xFF, RFC 3948 §2.3
    bpf.loadWord(0),
    bpf.ifAtLeast(FIRST_SPI, { no: "control" }),
    bpf.and(2 ** steering.slotBits - 1),
    bpf.modulo(steering.workers),
    bpf.add(1),
    bpf.returnA(),
    "control",
    bpf.returnValue(0),
  ]);
};

/** For the raw socket of one worker: its own SPIs and no others. IPv4 shows the IP header first, IPv6 does not. */
export const rawEspFilter = (family: 4 | 6, worker: number, steering: Steering): Uint8Array => {
  check(steering);
  if (!Number.isInteger(worker) || worker < 0 || worker >= steering.workers)
    throw new RangeError(`no worker ${worker} of ${steering.workers}`);
  return assemble([
    ...(family === 4 ? [bpf.loadHeaderLengthToX(0), bpf.loadWordPastX(0)] : [bpf.loadWord(0)]),
    bpf.ifAtLeast(FIRST_SPI, { no: "drop" }),
    bpf.and(2 ** steering.slotBits - 1),
    bpf.modulo(steering.workers),
    bpf.ifEqual(worker, { no: "drop" }),
    bpf.returnValue(0xffff_ffff),
    "drop",
    bpf.returnValue(0),
  ]);
};
