/** Finding connections without a walk over all, judged by a walk over all. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { ConnectionConfig } from "../../src/ike/connection.ts";
import { expectedPeer } from "../../src/ike/connection.ts";
import { equalIdentity, type Identity } from "../../src/ike/identity.ts";
import { closenessOf, isExpected, parsePeerId } from "../../src/ike/peer-id.ts";
import { Peering } from "../../src/ike/peering.ts";
import { Peerings } from "../../src/ike/peerings.ts";
import { connection, identity } from "../support/two-peers.ts";

const OURS = ["192.0.2.1", "192.0.2.2"];
const THEIRS = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
const IDS = ["a.example", "A.example", "b.example", "198.51.100.1"];
const HOSTS = [undefined, "peer.example", ...THEIRS];

const config = fc.record({
  local: fc.constantFrom(...OURS),
  localId: fc.constantFrom("x.example", "y.example"),
  host: fc.constantFrom(...HOSTS),
  id: fc.constantFrom(undefined, "%any", "*.example", "198.51.100.0/24", ...IDS),
  isHeldDown: fc.boolean(),
  learned: fc.subarray(THEIRS),
});

/** What `Peerings` spares us. */
const walk = (all: readonly Peering[], local: string, remote: string): Peering[] => {
  const ours = all.filter(({ config, isHeldDown }) => !isHeldDown && config.local.address === local);
  return [
    ...ours.filter((peering) => peering.isAt(remote)),
    ...ours.filter((peering) => peering.mayBeAnywhere && !peering.isAt(remote)),
  ];
};

const closest = (candidates: readonly Peering[], idi: Identity, idr: Identity | undefined): Peering[] => {
  const known = candidates.filter(
    ({ config }) => isExpected(expectedPeer(config), idi) && (idr === undefined || equalIdentity(idr, config.local.id)),
  );
  const best = Math.max(...known.map(({ config }) => closenessOf(expectedPeer(config))));
  return known.filter(({ config }) => closenessOf(expectedPeer(config)) === best);
};

const names = (peerings: Iterable<Peering>): string[] => [...peerings].map(({ config }) => config.name).sort();

test("the same connections as a walk over all of them finds, whatever was learned and held down", () => {
  fc.assert(
    fc.property(fc.array(config, { maxLength: 12 }), (configs) => {
      const all = configs.map(({ local, localId, host, id }, n) => {
        const made: ConnectionConfig = connection("a", {
          name: `${n}`,
          local: { address: local, id: identity(localId) },
          remote: { address: host, port: 500, id: id === undefined ? undefined : parsePeerId(id) },
        });
        return new Peering(made);
      });
      const peerings = new Peerings(all);
      for (const [n, peering] of all.entries()) {
        peering.isHeldDown = configs[n]!.isHeldDown;
        peerings.learn(peering, configs[n]!.learned);
        expect(peerings.named(peering.config.name)).toBe(peering);
      }
      for (const local of OURS)
        for (const remote of THEIRS) {
          const path = { local: { address: local, port: 500 }, remote: { address: remote, port: 500 } };
          const candidates = peerings.candidatesFor(path);
          const slow = walk(all, local, remote);
          expect(names(candidates)).toEqual(names(slow));
          for (const id of IDS)
            for (const idr of [undefined, identity("x.example")])
              expect(names(candidates.closest(identity(id), idr))).toEqual(names(closest(slow, identity(id), idr)));
        }
    }),
    { numRuns: 60 },
  );
});
