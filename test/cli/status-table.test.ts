import { expect, test } from "vitest";
import { statusTable } from "../../src/cli/status-table.ts";
import { childOf, statusOf } from "../support/status.ts";

test("a gateway with two connections up and one that fails", () => {
  expect(statusTable(statusOf(), { colour: false })).toMatchInlineSnapshot(`
    "espalier 0.1.0, up 2 h 3 min, 2 of 3 connections up, 2 workers, engine ipsec-mb (libIPSec_MB 1.3.0, measured at the start)

    connection  state       remote               tunnel            suite             via           in      out   drops  rekey in
    branch      up          192.0.2.2:500        net               aes256gcm16       ESP ESN  15.4 MB  3.21 GB       0  57 min
                                                 voice (rekeying)  aes128-sha256     ESP      15.4 MB  3.21 GB  1.20 k  57 min
    roaming     up          [2001:db8::77]:4500  net               chacha20poly1305  UDP ESN      0 B    999 B       0  now
    paris       connecting  198.51.100.7:500     -                 -                 -              -        -       -  -

    paris: AUTHENTICATION_FAILED: the peer�[2J did not take our key

    since the start: in 12.3 k packets of 15.4 MB and 17 dropped, out 2.35 M packets of 3.21 GB
    branch/net, all its SAs: in 5.00 M packets of 6.00 GB and 7 dropped, out 4.00 M packets of 5.00 GB

    drops of branch/voice: bad-icv 1.20 k, replayed 3
    drops: no-sa 17

    worker 0: 2.36 M packets in 81.0 k batches (29.1 each), 91.0 k polls, 1 min 2 s of cpu, replaced once, 42 lost in full sockets
    worker 1: 0 packets in 0 batches, 1 polls, under 1 s of cpu, without io_uring: the kernel is older than Linux 6.5"
  `);
});

test("a gateway without connections or workers", () => {
  expect(statusTable(statusOf({ connections: [], workers: [], drops: {} }), { colour: false })).toMatchInlineSnapshot(`
    "espalier 0.1.0, up 2 h 3 min, 0 of 0 connections up, 0 workers, engine ipsec-mb (libIPSec_MB 1.3.0, measured at the start)

    no connections

    since the start: in 12.3 k packets of 15.4 MB and 17 dropped, out 2.35 M packets of 3.21 GB"
  `);
});

test("colours change nothing but colours", () => {
  const coloured = statusTable(statusOf(), { colour: true });
  expect(coloured).toContain("\u001b[32mup");
  const colourCode = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g");
  const bare = (text: string): string => text.replace(colourCode, "").replace(/ +$/gm, "");
  expect(bare(coloured)).toBe(statusTable(statusOf(), { colour: false }));
});

test("many connections are one line each, and no line is long", () => {
  const connections = Array.from({ length: 500 }, (_, index) => ({
    name: `branch-${index}`,
    state: "up" as const,
    remote: `10.0.${index >> 8}.${index & 255}:4500`,
    lastError: null,
    ikeSa: null,
    childSas: [childOf({ bytesIn: 10 ** (index % 16), encap: index % 2 === 0 })],
    children: [],
  }));
  const lines = statusTable(statusOf({ connections, workers: [], drops: {} }), { colour: false }).split("\n");
  expect(lines).toHaveLength(505); // and what was carried since the start
  expect(Math.max(...lines.slice(2).map((line) => line.length))).toBeLessThanOrEqual(120);
});

test("drops of many tunnels do not bury the rest", () => {
  const connections = Array.from({ length: 50 }, (_, index) => ({
    name: `branch-${index}`,
    state: "up" as const,
    remote: "192.0.2.2:500",
    lastError: null,
    ikeSa: null,
    childSas: [childOf({ drops: { replayed: index } })],
    children: [],
  }));
  const text = statusTable(statusOf({ connections }), { colour: false });
  expect(text.match(/^drops of /gm)).toHaveLength(11); // ten, and that there are more
  expect(text).toContain("drops of branch-49/net: replayed 49\n");
  expect(text).toContain("drops of 39 more tunnels: see --json\n");
});

test("nothing of a peer's steers the terminal", () => {
  expect(statusTable(statusOf(), { colour: false })).not.toContain("\u001b");
});
