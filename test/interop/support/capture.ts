/** What passes the internet between the gateways: a capture that is read when it is stopped. */
import { join } from "node:path";
import type { Namespace } from "./namespaces.ts";
import { until } from "./run.ts";
import type { TestBed } from "./test-bed.ts";

/** Packets of the inner networks: none of them may ever be seen outside a tunnel. */
export const INNER_TRAFFIC = "net 10.0.0.0/8 or net 2001:db8:1::/64 or net 2001:db8:2::/64";

let count = 0;

/** Captures on `device` what `filter` describes while `act` runs; gives a line of text a packet. `more`: of tcpdump. */
export const capture = async (
  bed: TestBed,
  space: Namespace,
  device: string,
  filter: string,
  act: () => Promise<unknown>,
  more: readonly string[] = [],
): Promise<string[]> => {
  const file = join(bed.directory, `capture-${count++}`);
  const command = ["tcpdump", "-n", "-l", "--immediate-mode", "-Z", "root", "-i", device, ...more, filter];
  const dump = space.background(command, file);
  try {
    await until("tcpdump listens", () => (dump.log.includes("listening on") ? true : undefined));
    await act();
  } finally {
    await dump.end("SIGINT");
  }
  return dump.log.split("\n").filter((line) => /^\d\d:\d\d:\d\d\./.test(line));
};
