import { expect, test } from "vitest";
import { tunnelTasks } from "../../src/cli/tunnel-tasks.ts";

const lacking = (...missing: readonly string[]) => ({
  said: [] as string[],
  unavailable: (peer: string) => (missing.includes(peer) ? `${peer} is not installed` : undefined),
});

test("of several peers those that cannot run here are left out, which is said once", () => {
  const { said, unavailable } = lacking("strongswan");
  const tasks = tunnelTasks({ seconds: 2 }, ["self", "strongswan"], true, (line) => said.push(line), unavailable);
  expect(said).toEqual(["strongswan is left out: strongswan is not installed"]);
  expect(tasks).toHaveLength(5);
  for (const task of tasks) expect(task).toMatchObject({ peer: "self", seconds: 2 });
});

test("traffic by traffic, the peers in turns", () => {
  const tasks = tunnelTasks({}, ["self", "plain"], true, () => {}, lacking().unavailable);
  expect(tasks.slice(0, 4).map(({ peer, streams }) => `${peer} ${streams}`)).toEqual([
    ...["self 1", "plain 1", "self 4", "plain 4"],
  ]);
});

test.each([[["strongswan"]], [["strongswan", "wireguard-go"]]])(
  "when none of %j can run here, that is why",
  (peers) => {
    const { said, unavailable } = lacking("strongswan", "wireguard-go");
    expect(() => tunnelTasks({}, peers, false, (line) => said.push(line), unavailable)).toThrow(
      expect.objectContaining({
        code: "ESPALIER_PLATFORM",
        message: peers.map((peer) => `the peer ${peer} cannot run here: ${peer} is not installed`).join("\n"),
      }),
    );
    expect(said).toEqual([]);
  },
);

test("a peer that nobody knows is the caller's mistake", () => {
  expect(() => tunnelTasks({}, ["self", "wireguard"], false, () => {}, lacking().unavailable)).toThrow(
    expect.objectContaining({ code: "ESPALIER_USAGE" }),
  );
});

test("the standard searches datagrams without loss and with 0.5 %, TCP not", () => {
  const tasks = tunnelTasks({ ndr: true }, ["self"], true, () => {}, lacking().unavailable);
  expect(tasks.map(({ udp, ndr }) => `${udp ?? "TCP"} ${ndr === true}`)).toEqual([
    ...["TCP false", "TCP false", "64 true", "512 true", "1372 true"],
  ]);
});

test.each([{ udp: 64 }, { rate: 1000 }, { maxLoss: 1 }, { streams: 2 }])("%j is not for the standard", (traffic) => {
  expect(() => tunnelTasks(traffic, ["self"], true, () => {}, lacking().unavailable)).toThrow(
    expect.objectContaining({ code: "ESPALIER_USAGE", message: "--standard has traffic of its own" }),
  );
});
