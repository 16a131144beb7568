/** Of what is measured; all but `idle`, which is `bench ike --tunnels`, are commands. */
export const BENCH_KINDS = ["esp", "tunnel", "ike", "idle", "sad", "spd", "tune"] as const;

export type BenchKind = (typeof BENCH_KINDS)[number];
