import { expect, test } from "vitest";
import { SUITES } from "../../src/crypto/suites.ts";
import { EspSession } from "../../src/dataplane/esp-session.ts";
import { ipPacket } from "../support/ip-packets.ts";

const keyOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7 + 1);

test.each(SUITES.map((suite) => suite.name))(
  "%s opens what it sealed, both inner families, with and without ESN",
  (name) => {
    for (const esn of [false, true]) {
      const suite = SUITES.find((each) => each.name === name)!;
      const common = { suite, spi: 0x1234_5678, key: keyOf(suite.keyLength), esn };
      const sealer = EspSession.open({ ...common, direction: "seal" });
      const opener = EspSession.open({ ...common, direction: "open" });
      const packets = [
        ...Array.from({ length: 80 }, (_, i) => ipPacket({ version: 4, length: 20 + i * 17 })),
        ...Array.from({ length: 80 }, (_, i) => ipPacket({ version: 6, length: 40 + i * 19 })),
      ];
      const sealed = sealer.seal(packets);
      expect(opener.open(sealed).map(({ packet }) => packet)).toEqual(packets);
      expect(opener.sequence).toBe(160);
      sealer.close();
      opener.close();
    }
  },
);
