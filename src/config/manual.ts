/** Connections whose SAs have keys in the file, and no IKE (RFC 4301 §4.5.1): what must be there, and what has no use. */
import { suiteByName } from "../crypto/suites.ts";
import { canonicalAddress } from "../ip-address.ts";
import type { Complain } from "./children.ts";
import type { ConnectionSettings } from "./schema.ts";
import type { Path } from "./source.ts";

/** Sequence numbers are no more than that without ESN (RFC 4303 §3.3.3). */
const LAST_SHORT = 0xffff_ffff;

export const isManual = ({ children = {} }: Pick<ConnectionSettings, "children">): boolean =>
  Object.values(children).some(({ manual }) => manual !== undefined);

export const checkManual = (connection: ConnectionSettings, path: Path, complain: Complain): void => {
  const { remote, start, children = {} } = connection;
  if (remote.address !== undefined && canonicalAddress(remote.address) === undefined)
    complain([...path, "remote", "address"], "expected an address, as its SAs have manual keys");
  if (remote.backups.length > 0)
    complain([...path, "remote", "backups"], "expected none, as the connection has SAs with manual keys");
  if (start !== "none")
    complain([...path, "start"], "expected none: SAs with manual keys are there from the beginning");
  for (const [name, { manual, esn }] of Object.entries(children)) {
    const at = [...path, "children", name, "manual"];
    if (manual === undefined) {
      complain(at, "expected SAs with manual keys, as other children of the connection have them");
      continue;
    }
    if (manual.suite === undefined) complain([...at, "suite"], "expected an ESP suite");
    const keyLength = manual.suite === undefined ? undefined : suiteByName(manual.suite)?.keyLength;
    for (const way of ["in", "out"] as const) {
      const { spi, key, sequence } = manual[way];
      if (spi === undefined) complain([...at, way, "spi"], "expected an SPI");
      if (key === undefined) complain([...at, way, "key"], "expected a key");
      else if (keyLength !== undefined && key.length !== keyLength)
        complain([...at, way, "key"], `expected ${keyLength} octets for ${manual.suite}, found ${key.length}`);
      if (esn !== "yes" && sequence > LAST_SHORT)
        complain([...at, way, "sequence"], `expected at most ${LAST_SHORT}, as esn is not yes, found ${sequence}`);
    }
  }
};
