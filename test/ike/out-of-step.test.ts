/**
 * What an honest peer of ours seldom or never says: that it does not know the pair that we rekey, and to wait, without end (RFC
 * 7296 §2.25).
 */
import { describe, expect, test } from "vitest";
import { CreateChild } from "../../src/ike/create-child-sa.ts";
import type { Effect } from "../../src/ike/effect.ts";
import { Notify } from "../../src/ike/notify.ts";
import { notifyPayload } from "../../src/ike/payloads.ts";
import { Turn } from "../../src/ike/turn.ts";
import { up } from "../support/one-ike-sa.ts";
import { child, disagreements, drawn, gaps, twoPeers } from "../support/two-peers.ts";

/** The peer refuses to rekey the first pair, at this time. */
const refuse = ({ core, sa, child, first }: ReturnType<typeof up>, notify: number, now: number): Effect[] => {
  const turn = new Turn(core, now);
  const rekey = new CreateChild(child, { resource: 0, old: first });
  first.become({ name: "rekeying", task: rekey });
  rekey.request(turn, sa);
  rekey.answer(turn, sa, [notifyPayload(notify)]);
  return turn.effects;
};

const sends = (effects: readonly Effect[]): boolean => effects.some(({ kind }) => kind === "send");

describe("the peer does not know the pair that we rekey", () => {
  test.each([
    ["always", 0],
    ["once", 0],
    ["no", undefined],
  ] as const)("and it is the only one: the IKE SA ends with a Delete; wanted %s, it is begun again", (wish, at) => {
    const { sa, peering, ...rest } = up(wish, 0x1000);
    const effects = refuse({ sa, peering, ...rest }, Notify.CHILD_SA_NOT_FOUND, 0);
    expect([sa.state.name, sa.children.size]).toEqual(["closing", 0]);
    expect(sends(effects)).toBe(true);
    expect([peering.wish, peering.retryAt]).toEqual([wish, at]);
  });

  test("and there is another: that one goes on, the pair goes without a Delete and is made anew", () => {
    const made = up("always", 0x1000, 0x1001);
    const effects = refuse(made, Notify.CHILD_SA_NOT_FOUND, 0);
    expect(effects.map(({ kind }) => kind)).toContain("remove");
    expect(sends(effects)).toBe(false);
    expect([made.sa.state.name, [...made.sa.children.keys()]]).toEqual(["established", [0x1001]]);
    expect(made.peering.isChildDue("net", 0)).toBe(true);
  });
});

//   CREATE_CHILD_SA {N(REKEY_SA), SA, Ni, TSi, TSr} -->
//                                                    <-- N(TEMPORARY_FAILURE)   again and again
describe("the peer asks to wait, again and again", () => {
  /** Waits until there is no more try, the hard end of the pair being `left` ms away. */
  const waitsOf = (made: ReturnType<typeof up>, left: number): number[] => {
    const waits: number[] = [];
    for (let now = made.first.expiresAt - left; now < Number.POSITIVE_INFINITY; ) {
      refuse(made, Notify.TEMPORARY_FAILURE, now);
      const { state } = made.first;
      if (state.name !== "installed") throw new Error(state.name);
      waits.push(state.rekeyAt - now);
      now = state.rekeyAt;
    }
    expect(made.sa.state.name).toBe("established");
    return waits;
  };
  const seconds = (waits: readonly number[]) => waits.map((wait) => Math.round(wait / 1_000));

  test("scenario B18, 3600 s left: after 5, 10 and 20 s it is tried after halves of the rest, and not below 120 s", () => {
    const waits = waitsOf(up("always", 0x1000), 3_600_000);
    expect(seconds(waits)).toEqual([5, 10, 20, 1778, 891, 447, 224, Number.POSITIVE_INFINITY]);
    const jitter = 1 - (0.1 * 0x070707) / 2 ** 24;
    expect(waits[3]).toBeCloseTo((jitter * (3_600_000 - waits[0]! - waits[1]! - waits[2]!)) / 2);
  });

  test("it is tried eight times at most, however much time is left", () => {
    const waits = waitsOf(up("always", 0x1000), 1e9);
    expect([waits.length, waits.at(-1)]).toEqual([9, Number.POSITIVE_INFINITY]);
  });

  test.each([
    [280_000, 5],
    [270_000, 4],
  ])("a half of two minutes is waited for, a shorter one is not: %i ms left, %i waits", (left, count) => {
    expect(waitsOf(up("always", 0x1000), left)).toHaveLength(count);
  });

  test("the first tries do not wait for longer than half of the time that is left", () => {
    const made = up("always", 0x1000);
    const now = made.first.expiresAt - 4_000;
    refuse(made, Notify.TEMPORARY_FAILURE, now);
    const { state } = made.first;
    expect(state.name === "installed" && state.rekeyAt - now).toBeLessThanOrEqual(2_000);
  });

  //   CREATE_CHILD_SA {rekey}  -->                           at 3,240 to 3,600 s, and again four or five times
  //                            <-- N(TEMPORARY_FAILURE)
  //   D                        -->                           at 3,960 s
  test.each([
    ["a pair", "children", "child-sa-expired"],
    ["an IKE SA", "ike", "ike-sa-expired"],
  ] as const)("%s that the peer never rekeys serves to its hard end, and another is made", (_what, what, event) => {
    const [hour, day] = [3_600_000, 86_400_000];
    const lives = {
      lifetime: what === "ike" ? hour : day,
      children: [child({ lifetime: what === "ike" ? day : hour })],
    };
    const long = { lifetime: 2 * day, children: [child({ lifetime: 2 * day })] };
    const peers = twoPeers({ a: { ...lives, start: "initiate" }, b: long, optionsB: { rekeyRate: 1e-9 } });
    const { a, b, connect, link, run } = peers;
    connect();
    for (let n = 0; n < 2; n++) {
      a.rekey(what); // all that b will ever take
      run(1_000);
    }
    link.sent.length = 0;
    run(hour * 1.1 - 10_000, () => expect(gaps(peers)).toEqual([]));
    const asked = drawn(link.sent).filter((line) => line.startsWith("a> CREATE_CHILD_SA request"));
    expect([asked.length >= 5, asked.length <= 6, a.log(event)]).toEqual([true, true, undefined]);
    expect(b.count("rekeys-too-often")).toBe(asked.length);
    run(15_000);
    expect(a.log(event)?.message).toContain("lifetime");
    expect([a.status().state, a.data.pairs.size, disagreements(peers)]).toEqual(["up", 1, []]);
  });
});
