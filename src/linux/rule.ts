/**
 * The routing rule of a gateway with a mark: whatever does not bear the mark looks into the table of the same number first.
 * So routes into tunnels can lie there, and what the gateway itself sends (ESP, IKE, what bypasses) never meets them.
 */
import type { Family } from "../ip-address.ts";
import { ERRNO, systemError } from "./errno.ts";
import { NLM_F, request } from "./netlink.ts";
import { MessageBuilder } from "./netlink-message.ts";
import { AF_INET, AF_INET6 } from "./sockaddr.ts";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;

// struct fib_rule_hdr
const HEADER = 12;
const FAMILY = 0;
const ACTION = 7;
const FLAGS = 8;
const FR_ACT_TO_TBL = 1;
const FIB_RULE_INVERT = 2;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;

/** Before the main table's, 32766. Named, so that the same rule is known again. */
const PRIORITY = 32_765;

const message = (family: Family, mark: number): Uint8Array => {
  const header = new Uint8Array(HEADER);
  header[FAMILY] = family === 4 ? AF_INET : AF_INET6;
  header[ACTION] = FR_ACT_TO_TBL;
  header[FLAGS] = FIB_RULE_INVERT;
  const builder = new MessageBuilder().raw(header).u32(FRA_PRIORITY, PRIORITY);
  return builder.u32(FRA_FWMARK, mark).u32(FRA_TABLE, mark).finish();
};

const describe = (family: Family, mark: number): string => `IPv${family} rule: not fwmark ${mark} lookup ${mark}`;

/** One that is there already, of a gateway that was killed, is as good. Throws EspalierError. */
export const addMarkRule = (family: Family, mark: number): void => {
  const { result, detail } = request(RTM_NEWRULE, NLM_F.CREATE | NLM_F.EXCL, message(family, mark));
  if (result < 0 && result !== -ERRNO.EEXIST) throw systemError(result, describe(family, mark), { detail });
};

/** False when there was none. */
export const removeMarkRule = (family: Family, mark: number): boolean => {
  const { result, detail } = request(RTM_DELRULE, 0, message(family, mark));
  if (-result === ERRNO.ENOENT) return false;
  if (result < 0) throw systemError(result, `removal of ${describe(family, mark)}`, { detail });
  return true;
};
