/** Any payload that we could write, for property tests. */
import fc from "fast-check";
import type { Payload, PayloadKind, PayloadOf } from "../../../src/ike/payload/index.ts";
import type { Proposal, Transform } from "../../../src/ike/payload/sa.ts";

const octets = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength });
const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });

const transform: fc.Arbitrary<Transform> = fc
  .record({
    type: u8,
    id: u16,
    keyBits: fc.option(u16, { nil: undefined }),
    unknown: fc.option(
      fc.oneof(
        fc.constant(Uint8Array.of(0x80, 99, 1, 2)), // short
        fc.constant(Uint8Array.of(0x00, 14, 0, 3, 1, 2, 3)), // a key length in the long form, which it may not have
      ),
      { nil: undefined },
    ),
  })
  .map(({ type, id, keyBits, unknown }) => ({
    type,
    id,
    ...(keyBits === undefined ? {} : { keyBits }),
    ...(unknown === undefined ? {} : { unknownAttributes: unknown }),
  }));

const proposal: fc.Arbitrary<Proposal> = fc.record({
  number: u8,
  protocol: u8,
  spi: octets(0, 8),
  transforms: fc.array(transform, { maxLength: 6 }),
});

const selector = fc.constantFrom(4, 16).chain((length) =>
  fc.record({
    protocol: u8,
    startPort: u16,
    endPort: u16,
    first: octets(length, length),
    last: octets(length, length),
  }),
);

const method = fc.record({ method: u8, data: octets(0, 40) });
const certificate = fc.record({ encoding: u8, data: octets(0, 40) });
const identity = fc
  .record({ type: u8, data: octets(0, 40), reserved: fc.option(octets(3, 3), { nil: undefined }) })
  .map(({ type, data, reserved }) =>
    reserved?.some((octet) => octet !== 0) ? { type, data, reserved } : { type, data },
  );
const deletion = fc
  .integer({ min: 1, max: 8 })
  .chain((size) => fc.record({ protocol: u8, spis: fc.array(octets(size, size), { maxLength: 5 }) }));
const selectors = fc.record({ selectors: fc.array(selector, { maxLength: 5 }) });
const opaque = fc.record({ raw: octets(0, 40) });

const VALUES: { readonly [K in PayloadKind]: fc.Arbitrary<PayloadOf<K>["value"]> } = {
  SA: fc.array(proposal, { minLength: 1, maxLength: 4 }),
  KE: fc.record({ method: u16, data: octets(1, 64) }),
  IDi: identity,
  IDr: identity,
  CERT: certificate,
  CERTREQ: certificate,
  AUTH: method,
  Nonce: fc.record({ data: octets(16, 256) }),
  Notify: fc.record({ protocol: u8, spi: octets(0, 8), type: u16, data: octets(0, 40) }),
  Delete: deletion,
  V: fc.record({ data: octets(0, 40) }),
  TSi: selectors,
  TSr: selectors,
  CP: opaque,
  EAP: opaque,
};

export const payloadOf = (kind: PayloadKind): fc.Arbitrary<Payload> =>
  (VALUES[kind] as fc.Arbitrary<Payload["value"]>).map((value) => ({ kind, value }) as Payload);

export const anyPayload: fc.Arbitrary<Payload> = fc.oneof(
  ...(Object.keys(VALUES) as PayloadKind[]).map((kind) => payloadOf(kind)),
);
