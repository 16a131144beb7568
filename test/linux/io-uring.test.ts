import { expect, test } from "vitest";
import { openEventfd } from "../../src/linux/eventfd.ts";
import { IoUring } from "../../src/linux/io-uring.ts";
import { Memory } from "../../src/linux/memory.ts";

test("x", () => {
  const r = IoUring.open();
  if (typeof r === "string") throw new Error(r);
  const fd = openEventfd();
  const m = Memory.allocate(64);
  m.bytes[0] = 3;
  for (let k = 0; k < 1000; k++) {
    r.write(fd, m, 0, 8);
    r.write(fd, m, 0, 8);
    r.read(fd, m, 8, 8);
    r.read(fd, m, 16, 8);
    r.run();
    expect([...r.result.subarray(0, 4), m.bytes[8]]).toEqual([8, 8, 8, -11, 6]);
  }
  r.close();
  r.write(fd, m, 0, 8);
  r.run();
  expect(r.result[0]).toBe(-9);
});
