import { expect, test } from "vitest";
import { cpuSeconds, whileRunning } from "../../src/bench/gateway-watch.ts";
import { Processes } from "../../src/bench/processes.ts";

const LAST_WORDS = ["sh", "-c", "echo out of memory >&2; exit 3"];
const never = new Promise<never>(() => {});

test("a gateway that ends ends what is measured, with its last words", async () => {
  const processes = new Processes();
  const [gateway, other] = [processes.start(LAST_WORDS), processes.start(["sleep", "60"])];
  const said = { code: "ESPALIER_PLATFORM", message: expect.stringMatching(/^a gateway ended: sh -c .*\n {2}out of/) };
  await expect(whileRunning([other, gateway], never)).rejects.toMatchObject(said);
  expect(() => cpuSeconds([other, gateway])).toThrow(expect.objectContaining(said));
  await processes.endAll();
});

test("otherwise the work has the word, and gateways may end after it", async () => {
  const processes = new Processes();
  const gateway = processes.start(["sleep", "60"]);
  expect(await whileRunning([gateway], Promise.resolve(7))).toBe(7);
  expect(cpuSeconds([gateway])).toBeGreaterThanOrEqual(0);
  await expect(whileRunning([gateway], Promise.reject(new Error("iperf3 failed")))).rejects.toThrow("iperf3 failed");
  expect(await whileRunning([], Promise.resolve(8))).toBe(8);
  await processes.endAll();
});
