/** Rekeying the IKE SA as the responder of the exchange, RFC 7296 §1.3.2, §2.25.2. */
import { kexById } from "../crypto/kex.ts";
import type { Answer } from "./answer.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { exchangeKeys } from "./key-works.ts";
import { find, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { groupData, kePayload, NONCE_LENGTH, noncePayload } from "./payloads.ts";
import { chooseIke, describeProposals } from "./proposal.ts";
import { addRekeyed, RekeyIkeSa, replaceBy } from "./rekey-ike-sa.ts";
import { concernsChild } from "./task.ts";
import type { Turn } from "./turn.ts";

/** Throws IkeError to refuse: the caller answers with its notification. */
export const answerRekeyIkeSa = (turn: Turn, sa: IkeSa, payloads: readonly Payload[]): Answer => {
  const [offered, ke, nonce] = [find(payloads, "SA"), find(payloads, "KE"), find(payloads, "Nonce")];
  const { peering } = sa;
  const { task } = sa.requests;
  if (task !== undefined && concernsChild(task))
    throw new IkeError(Notify.TEMPORARY_FAILURE, "a Child SA is being made or deleted"); // RFC 7296 §2.25.2
  if (offered === undefined || ke === undefined || nonce === undefined || peering === undefined)
    throw invalidSyntax("SA, KE or Nonce missing");
  const choice = chooseIke(offered, peering.config.proposals);
  const spiI = choice?.chosen.spi;
  const method = kexById(choice?.suite.ke ?? 0);
  if (choice === undefined || spiI?.length !== 8 || method === undefined)
    throw new IkeError(Notify.NO_PROPOSAL_CHOSEN, "no IKE proposal in common", {
      context: `offered ${describeProposals(offered)}; expected ${describeProposals(peering.config.proposals)}`,
    });
  if (ke.method !== method.id)
    throw new IkeError(Notify.INVALID_KE_PAYLOAD, `expected a value of ${method.name}`, {
      data: groupData(method.id),
    });
  const { publicValue, shared } = exchangeKeys(turn, method, ke.data);
  if (shared === undefined) throw invalidSyntax(`the ${method.name} value is invalid`); // RFC 6989

  const spiR = turn.core.newSpi();
  const nr = turn.random(NONCE_LENGTH);
  const { suite, chosen } = choice;
  const fresh = addRekeyed(turn, sa, { role: "responder", spiI, spiR, suite, shared, ni: nonce.data, nr });
  return {
    payloads: [{ kind: "SA", value: [{ ...chosen, spi: spiR }] }, noncePayload(nr), kePayload(method.id, publicValue)],
    after: () => {
      // Our own rekey may be on its way: its answer settles which IKE SA inherits (RFC 7296 §2.8.1).
      if (task instanceof RekeyIkeSa) task.rival = fresh;
      else replaceBy(turn, sa, fresh);
    },
  };
};
