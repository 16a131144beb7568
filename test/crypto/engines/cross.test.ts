/** Every engine opens what every other sealed, and seals the same octets. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { Bench, EVERY_KIND, packetOf } from "./esp-batch.ts";

for (const driver of ENGINE_DRIVERS) {
  test(`every engine agrees with ${driver.name}`, (context) => {
    const reason = driver.unavailable();
    if (reason !== undefined) context.skip(`${driver.name}: ${reason}`);
    const sealer = new Bench(driver.open, 1, 4096);
    const openers = ENGINE_DRIVERS.filter((other) => other.unavailable() === undefined).map((other) => ({
      name: other.name,
      bench: new Bench(other.open, 1, 4096),
    }));
    for (const { suite, esn, kind } of EVERY_KIND)
      fc.assert(
        fc.property(fc.nat(400), fc.nat(1_000_000), (payload, seed) => {
          const packet = packetOf(suite, payload, esn, seed);
          const key = sealer.expand(packet);
          const sealed = sealer.sealOne(packet, key);
          sealer.engine.release(key);
          for (const { name, bench } of openers) {
            const other = bench.expand(packet);
            expect(toHex(bench.openOne(packet, other, sealed) ?? sealed), `${kind} opened by ${name}`).toBe(
              toHex(packet.clear),
            );
            expect(toHex(bench.sealOne(packet, other)), `${kind} sealed by ${name}`).toBe(toHex(sealed));
            bench.engine.release(other);
          }
        }),
        { numRuns: 15, seed: suite.id },
      );
    sealer.engine.close();
    for (const { bench } of openers) bench.engine.close();
  });
}
