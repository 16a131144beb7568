/** Which queues of a tunnel's interface the kernel may fill: the workers' that have a pair, or that are to have one. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Pair, PlaneTunnel } from "../../src/dataplane/plane-tunnel.ts";
import { TunnelTable } from "../../src/dataplane/tunnel-table.ts";
import { setTunQueue } from "../../src/linux/tun.ts";

vi.mock("../../src/linux/tun.ts", { spy: true });

const FDS = [-10, -11, -12];
const HOME = 1;
const attached = new Set<number>();

beforeEach(() => {
  for (const fd of FDS) attached.add(fd);
  vi.mocked(setTunQueue).mockImplementation((fd, attach) => {
    attached[attach ? "add" : "delete"](fd);
    return 0;
  });
});
afterEach(() => attached.clear());

const tunnel = (): PlaneTunnel =>
  new PlaneTunnel(TunnelTable.create(), { id: 3, home: HOME, workers: 3, fds: FDS, vnetHdr: true, holds: false });

const pair = (owner: PlaneTunnel, resource: number, pairs: number): Pair => {
  const worker = owner.workerFor(resource);
  const endpoint = { address: "127.0.0.1", port: 4500 };
  const path = { local: endpoint, remote: endpoint };
  const made = { spiIn: 0x1000 + resource, slot: worker, worker, resource, order: resource, tunnel: owner, path };
  return { ...made, pairs, resting: false, met: false };
};

test("without a pair the home's queue alone is filled", () => {
  tunnel();
  expect([...attached]).toEqual([-11]);
});

test("a pair that stays the only one has its worker's queue alone", () => {
  const owner = tunnel();
  const only = pair(owner, 1, 1);
  owner.add(only);
  owner.use(only);
  expect([...attached]).toEqual([-12]);
  owner.remove(only);
  expect([...attached]).toEqual([-11]);
});

test("where others are to come all queues are filled from the first pair on, and stay", () => {
  const owner = tunnel();
  const pairs = [0, 1, 2].map((resource) => pair(owner, resource, 3));
  owner.add(pairs[0]!);
  owner.use(pairs[0]!);
  expect(attached).toEqual(new Set(FDS));
  const calls = vi.mocked(setTunQueue).mock.calls.length;
  for (const further of pairs.slice(1)) {
    owner.add(further);
    owner.use(further);
  }
  owner.remove(pairs[1]!);
  owner.rest(pairs[2]!);
  expect(vi.mocked(setTunQueue).mock.calls).toHaveLength(calls);
  owner.remove(pairs[2]!);
  owner.remove(pairs[0]!);
  expect([...attached]).toEqual([-11]);
});

test("workers for whom no pair is to come have their queues empty", () => {
  const owner = tunnel();
  const first = pair(owner, 0, 2);
  owner.add(first);
  owner.use(first);
  expect(attached).toEqual(new Set([-11, -12]));
});
