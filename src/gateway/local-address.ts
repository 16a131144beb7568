/** Which local address a connection speaks from when its configuration leaves that to the route to the peer. */
import { EspalierError } from "../errors.ts";
import { routeTo } from "../linux/route.ts";

/** Source address of the route to `remote` of packets with our `mark`, if we have one. Throws ESPALIER_CONFIG when there is no way to it. */
export const sourceFor = (remote: string, mark?: number): string => {
  const source = routeTo(remote, { mark })?.source;
  if (source !== undefined) return source;
  throw new EspalierError("ESPALIER_CONFIG", `no local address leads to ${remote}`, { remedy: "Set `local.address`." });
};
