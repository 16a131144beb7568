/** Netlink messages and attributes round-trip, and broken ones end quietly within bounds. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  MessageBuilder,
  netlinkMessage,
  parseAttributes,
  parseMessages,
  textOf,
  u32Of,
} from "../../src/linux/netlink-message.ts";

test("attributes come back as they were built", () => {
  const value = fc.uint8Array({ maxLength: 600 });
  const attributes = fc.dictionary(fc.integer({ min: 1, max: 0x3fff }).map(String), value);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), attributes, (header, values) => {
      const builder = new MessageBuilder().raw(header);
      for (const [type, octets] of Object.entries(values)) builder.attribute(Number(type), octets);
      const [message, ...more] = parseMessages(netlinkMessage(18, 5, 1, builder.finish()));
      expect(more).toEqual([]);
      expect(message).toMatchObject({ type: 18, flags: 5, sequence: 1 });
      const parsed = parseAttributes(message!.body, (header.length + 3) & ~3);
      expect(Object.fromEntries([...parsed].map(([type, octets]) => [type, [...octets]]))).toEqual(
        Object.fromEntries(Object.entries(values).map(([type, octets]) => [type, [...octets]])),
      );
    }),
  );
});

test("any octets are parsed within their bounds", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      for (const { body } of parseMessages(octets)) expect(body.length).toBeLessThanOrEqual(octets.length);
      for (const value of parseAttributes(octets).values()) expect(value.length).toBeLessThanOrEqual(octets.length);
    }),
  );
});

test("values are numbers and text, or absent", () => {
  const attributes = parseAttributes(new MessageBuilder().u32(4, 1400).text(3, "esp0").finish());
  expect(u32Of(attributes.get(4))).toBe(1400);
  expect(textOf(attributes.get(3)!)).toBe("esp0");
  expect(u32Of(attributes.get(5))).toBeUndefined();
  expect(u32Of(new Uint8Array(3))).toBeUndefined();
});
