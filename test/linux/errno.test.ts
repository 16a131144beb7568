/** What the kernel's refusals become. */
import { constants } from "node:os";
import { expect, test } from "vitest";
import { ERRNO, errnoName, systemError } from "../../src/linux/errno.ts";
import { readSockaddr, writeSockaddr } from "../../src/linux/sockaddr.ts";

test("error numbers are those of this machine", (ctx) => {
  if (process.platform !== "linux") ctx.skip("the numbers are Linux's");
  const theirs: Readonly<Record<string, number>> = constants.errno;
  for (const [name, number] of Object.entries(ERRNO))
    if (name in theirs) expect([name, theirs[name]]).toEqual([name, number]);
});

test("a number has its name, whatever its sign", () => {
  expect([errnoName(11), errnoName(-11), errnoName(250)]).toEqual(["EAGAIN", "EAGAIN", "errno 250"]);
});

test("an error says what was done, why it failed, and what helps", () => {
  const error = systemError(-ERRNO.EADDRINUSE, "UDP socket", { detail: "more" });
  expect(error).toMatchObject({ code: "ESPALIER_IN_USE", message: "UDP socket: EADDRINUSE (more)" });
  expect(error.remedy).toMatch(/another port/);
  expect(error.cause).toMatchObject({ errno: 98 });
  expect(systemError(-ERRNO.EPERM, "x").code).toBe("ESPALIER_PRIVILEGE");
  expect(systemError(-ERRNO.ENOMEM, "x").code).toBe("ESPALIER_PLATFORM");
});

test("socket addresses of both families round-trip, and no other is one", () => {
  const bytes = new Uint8Array(64);
  for (const endpoint of [
    { address: "192.0.2.1", port: 4500 },
    { address: "2001:db8::1", port: 65535 },
  ]) {
    writeSockaddr(bytes, 8, endpoint);
    expect(readSockaddr(bytes, 8)).toEqual(endpoint);
  }
  bytes[8] = 1;
  expect(readSockaddr(bytes, 8)).toBeUndefined();
  expect(() => writeSockaddr(bytes, 40, { address: "2001:db8::1", port: 1 })).toThrow(RangeError);
  expect(() => writeSockaddr(bytes, 0, { address: "192.0.2.1", port: 65536 })).toThrow(RangeError);
});
