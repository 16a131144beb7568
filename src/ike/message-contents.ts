/**
 * What each message may contain, as a table: RFC 7296 §1.2, §1.3, §1.4 and the summary of appendix C.
 * Checked once, before anything else looks at the payloads.
 */
import { Exchange } from "./header.ts";
import { invalidSyntax } from "./ike-error.ts";
import { isErrorNotify, Notify, notifyName } from "./notify.ts";
import type { Payload, PayloadKind } from "./payload/index.ts";

/** How often a payload may be there. Notify and V may always be there, any number of times. */
type Count = "one" | "optional" | "any";

interface Contents {
  readonly name: string;
  readonly counts: Partial<Readonly<Record<PayloadKind, Count>>>;
  /** Kinds that come together or not at all. */
  readonly together?: readonly PayloadKind[];
  /** Notifications of status that excuse all the payloads that should be there, as every error does in a response. */
  readonly excusedBy?: readonly number[];
}

const CHILD = ["TSi", "TSr"] as const;

const REQUESTS: Readonly<Record<number, Contents>> = {
  [Exchange.IKE_SA_INIT]: { name: "IKE_SA_INIT request", counts: { SA: "one", KE: "one", Nonce: "one" } },
  [Exchange.IKE_AUTH]: {
    name: "IKE_AUTH request",
    counts: {
      IDi: "one",
      IDr: "optional",
      CERT: "any",
      CERTREQ: "any",
      AUTH: "optional", // not there: the initiator wants EAP (§2.16)
      CP: "optional",
      SA: "optional", // not there: RFC 6023
      TSi: "optional",
      TSr: "optional",
    },
    together: ["SA", ...CHILD],
  },
  [Exchange.CREATE_CHILD_SA]: {
    name: "CREATE_CHILD_SA request",
    counts: { SA: "one", Nonce: "one", KE: "optional", CP: "optional", TSi: "optional", TSr: "optional" },
    together: CHILD, // not there: the IKE SA is rekeyed (§1.3.2)
  },
  [Exchange.INFORMATIONAL]: { name: "INFORMATIONAL request", counts: { Delete: "any", CP: "optional" } },
};

const RESPONSES: Readonly<Record<number, Contents>> = {
  [Exchange.IKE_SA_INIT]: {
    name: "IKE_SA_INIT response",
    counts: { SA: "one", KE: "one", Nonce: "one", CERTREQ: "any" },
    excusedBy: [Notify.COOKIE, Notify.REDIRECT],
  },
  [Exchange.IKE_AUTH]: {
    name: "IKE_AUTH response",
    counts: {
      IDr: "one",
      AUTH: "one",
      CERT: "any",
      CP: "optional",
      SA: "optional", // not there: the Child SA was refused, the IKE SA stands (§1.2)
      TSi: "optional",
      TSr: "optional",
    },
    together: ["SA", ...CHILD],
  },
  [Exchange.CREATE_CHILD_SA]: {
    name: "CREATE_CHILD_SA response",
    counts: { SA: "one", Nonce: "one", KE: "optional", CP: "optional", TSi: "optional", TSr: "optional" },
    together: CHILD,
  },
  [Exchange.INFORMATIONAL]: { name: "INFORMATIONAL response", counts: { Delete: "any", CP: "optional" } },
};

/**
 * Throws IkeError INVALID_SYNTAX when a payload is there that may not be, or more often than it may, or one is missing.
 * `payloads` are those in the clear for IKE_SA_INIT and those inside SK for every other exchange.
 */
export const checkContents = (exchange: number, isResponse: boolean, payloads: readonly Payload[]): void => {
  const contents = (isResponse ? RESPONSES : REQUESTS)[exchange];
  if (contents === undefined) throw invalidSyntax(`exchange type ${exchange}`);
  const seen = new Map<PayloadKind, number>();
  for (const { kind } of payloads) seen.set(kind, (seen.get(kind) ?? 0) + 1);

  for (const [kind, times] of seen) {
    if (kind === "Notify" || kind === "V") continue;
    const count = contents.counts[kind];
    if (count === undefined) throw invalidSyntax(`${contents.name} with ${kind}`);
    if (count !== "any" && times > 1) throw invalidSyntax(`${contents.name} with ${kind} ${times} times`);
  }

  if (isResponse && payloads.some((payload) => excuses(payload, contents))) return;
  for (const [kind, count] of Object.entries(contents.counts) as [PayloadKind, Count][])
    if (count === "one" && !seen.has(kind))
      throw invalidSyntax(`${contents.name} without ${kind}${reported(payloads)}`);
  const group = contents.together?.filter((kind) => seen.has(kind)) ?? [];
  if (group.length > 0 && group.length !== contents.together?.length)
    throw invalidSyntax(`${contents.name} with ${group.join(", ")} alone`);
};

const excuses = (payload: Payload, { excusedBy }: Contents): boolean =>
  payload.kind === "Notify" &&
  (isErrorNotify(payload.value.type) || (excusedBy?.includes(payload.value.type) ?? false));

const reported = (payloads: readonly Payload[]): string => {
  const names = payloads.flatMap((payload) => (payload.kind === "Notify" ? [notifyName(payload.value.type)] : []));
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
};
