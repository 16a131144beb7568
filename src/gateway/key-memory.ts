/**
 * Where one key exchange's values lie while another thread computes them: shared, so that no copy of a secret stays behind in
 * a message between threads. Whoever is done with it wipes it.
 */
import { wipe } from "../bytes.ts";
import { kexById } from "../crypto/kex.ts";
import { doKeyWork, type KeyResult, type KeyWork } from "../crypto/key-work.ts";

/** Octets of the longest value: MODP 4096's. */
const LONGEST = 512;
const PRIVATE = 0;
const PUBLIC = 1;
const PEER = 2;
const SHARED = 3;
const VALUES = 4;

export interface KeyTask {
  readonly what: KeyWork["what"];
  readonly method: number;
  readonly memory: SharedArrayBuffer;
  readonly privateLength: number;
}

/** Lengths of what was computed: 0 for what there is none of. */
export interface KeyTaskDone {
  readonly publicLength: number;
  readonly privateLength: number;
  readonly sharedLength: number;
}

const field = ({ memory }: Pick<KeyTask, "memory">, index: number, length: number): Uint8Array =>
  new Uint8Array(memory, index * LONGEST, length);

const put = (task: Pick<KeyTask, "memory">, index: number, value: Uint8Array | undefined): number => {
  if (value === undefined) return 0;
  field(task, index, value.length).set(value);
  return value.length;
};

const publicLengthOf = (method: number): number => kexById(method)?.publicLength ?? 0;

/** The work as the other thread finds it. */
export const toTask = (work: KeyWork): KeyTask => {
  const task = { memory: new SharedArrayBuffer(VALUES * LONGEST) };
  const privateLength = work.what === "agree" ? put(task, PRIVATE, work.privateValue) : 0;
  if (work.what === "agree") put(task, PUBLIC, work.publicValue);
  if (work.what !== "generate") put(task, PEER, work.peer);
  return { ...task, what: work.what, method: work.method, privateLength };
};

/** In the other thread. */
export const doTask = (task: KeyTask): KeyTaskDone => {
  const { what, method } = task;
  const length = publicLengthOf(method);
  const peer = field(task, PEER, length).slice();
  const privateValue = field(task, PRIVATE, task.privateLength).slice();
  const publicValue = field(task, PUBLIC, length).slice();
  const result = doKeyWork(
    what === "generate"
      ? { what, method }
      : what === "answer"
        ? { what, method, peer }
        : { what, method, privateValue, publicValue, peer },
  );
  const done = {
    publicLength: put(task, PUBLIC, result.publicValue),
    privateLength: put(task, PRIVATE, result.privateValue),
    sharedLength: put(task, SHARED, result.shared),
  };
  wipe(privateValue, result.privateValue, result.shared);
  return done;
};

/** What the other thread has computed, out of the shared memory, which is wiped. */
export const takeResult = (task: KeyTask, done: KeyTaskDone): KeyResult => {
  const taken = (index: number, length: number): Uint8Array | undefined =>
    length === 0 ? undefined : field(task, index, length).slice();
  const result = {
    publicValue: taken(PUBLIC, done.publicLength) ?? new Uint8Array(0),
    privateValue: taken(PRIVATE, done.privateLength),
    shared: taken(SHARED, done.sharedLength),
  };
  wipeTask(task);
  return result;
};

export const wipeTask = ({ memory }: KeyTask): void => wipe(new Uint8Array(memory));
