/**
 * libIPSec_MB: loading it, asking it whether it is what the offsets are for, and one manager for one thread.
 */
import { highHalf, koffi, lowHalf, NativeMemory, reasonOf } from "./ffi.ts";
import { JOB, KNOWN_VERSION, MGR } from "./ipsec-mb-layout.ts";

const LIBRARY = "libIPSec_MB.so.1";

type BurstFunction = (manager: number, count: number, jobs: number) => number;
/** Each argument an address. */
type KeyFunction = (...addresses: number[]) => void;
type Prototype = ReturnType<ReturnType<typeof koffi>["proto"]>;

/** Of key functions, by the number of their arguments. koffi keeps every prototype for ever, so each is made once. */
const keyPrototypes = new Map<number, Prototype>();

const keyPrototype = (count: number): Prototype => {
  const type = keyPrototypes.get(count) ?? koffi().proto(`void (${Array(count).fill("int64_t").join(", ")})`);
  keyPrototypes.set(count, type);
  return type;
};

let burst: Prototype | undefined;

const open = () => {
  const library = koffi().load(LIBRARY);
  return {
    version: library.func("uint32_t imb_get_version()") as () => number,
    versionText: library.func("const char *imb_get_version_str()") as () => string,
    managerSize: library.func("size_t imb_get_mb_mgr_size()") as () => number,
    setPointers: library.func("int64_t imb_set_pointers_mb_mgr(int64_t, uint64_t, uint32_t)") as (
      memory: number,
      flags: number,
      reset: number,
    ) => number,
    initialise: library.func("void init_mb_mgr_auto(int64_t, int64_t)") as (manager: number, arch: number) => void,
    errorText: library.func("const char *imb_get_strerror(int)") as (code: number) => string,
  };
};

export type IpsecMb = ReturnType<typeof open>;

let found: IpsecMb | string | undefined;

/** The library, or why it cannot be had. Asked once a thread. */
export const ipsecMbLibrary = (): IpsecMb | string => {
  found ??= find();
  return found;
};

const find = (): IpsecMb | string => {
  if (process.platform !== "linux" || process.arch !== "x64")
    return `${LIBRARY} is for x86-64 Linux, this is ${process.arch} ${process.platform}`;
  let library: IpsecMb;
  try {
    library = open();
  } catch (error) {
    return `${reasonOf(error)} (Debian has it: apt-get install libipsec-mb1)`;
  }
  const unknown = unknownLayout(library.version(), library.versionText(), library.managerSize());
  if (unknown !== undefined) return unknown;
  try {
    new Manager(library).wipe();
    return library;
  } catch (error) {
    return reasonOf(error); // the processor has no AES-NI, or the library's self test failed
  }
};

/** Why the offsets are not known to be those of this library, or undefined when they are. */
export const unknownLayout = (version: number, versionText: string, managerSize: number): string | undefined => {
  if (version !== KNOWN_VERSION)
    return `${LIBRARY} is ${versionText} (0x${version.toString(16)}): only the structures of 1.3.0 are known`;
  return managerSize < MGR.SIZE
    ? `${LIBRARY} has a manager of ${managerSize} octets, not of ${MGR.SIZE} or more`
    : undefined;
};

/** IMB_MGR in memory of our own: nothing to free, and it can be wiped. For one thread. */
export class Manager {
  readonly address: number;
  /** IMB_MGR as 32-bit words: jobs are written and read here. */
  readonly words: Int32Array;
  /** Where the addresses of all jobs lie, in order. The library writes those of done jobs over them: the same ones. */
  readonly #jobsAddress: number;
  /** Where it writes the addresses of flushed jobs. */
  readonly flushedAddress: number;
  readonly submitBurst: BurstFunction;
  readonly flushBurst: BurstFunction;
  readonly #library: IpsecMb;
  readonly #memory: NativeMemory;
  readonly #jobsMemory: NativeMemory;
  readonly #jobs: Int32Array;
  /** Those that were called, by where the manager names them: an SA's keys are expanded in the middle of a batch. */
  readonly #keyFunctions = new Map<number, KeyFunction>();

  /** Throws an Error when the library cannot work on this processor. */
  constructor(library: IpsecMb) {
    this.#library = library;
    this.#memory = new NativeMemory(library.managerSize(), MGR.ALIGNMENT);
    this.#jobsMemory = new NativeMemory((MGR.MAX_JOBS + MGR.MAX_BURST) * 8);
    this.address = this.#memory.address;
    this.words = words(this.#memory, MGR.SIZE);
    this.#jobs = words(this.#jobsMemory, MGR.MAX_JOBS * 8);
    this.#jobsAddress = this.#jobsMemory.address;
    this.flushedAddress = this.#jobsAddress + MGR.MAX_JOBS * 8;
    this.reset();
    if (this.error !== 0 || this.words[MGR.USED_ARCH / 4] === 0)
      throw new Error(`libIPSec_MB cannot work on this processor: ${this.errorText}`);

    burst ??= koffi().proto("uint32_t (int64_t, uint32_t, int64_t)");
    this.submitBurst = this.#function(MGR.SUBMIT_BURST_NOCHECK, burst) as BurstFunction;
    this.flushBurst = this.#function(MGR.FLUSH_BURST, burst) as BurstFunction;
  }

  /** Forget all jobs, as when new. */
  reset(): void {
    if (this.#library.setPointers(this.address, 0, 1) !== this.address) throw new Error("libIPSec_MB took no memory");
    this.#library.initialise(this.address, 0);
    // The self test leaves an empty queue behind that goes on in its middle; emptied by a burst it would begin anew.
    if (this.words[MGR.EARLIEST_JOB / 4] === -1) this.words[MGR.NEXT_JOB / 4] = 0;
    for (let i = 0; i < MGR.MAX_JOBS; i++) {
      const job = this.address + MGR.JOBS + i * JOB.SIZE;
      this.#jobs[2 * i] = lowHalf(job);
      this.#jobs[2 * i + 1] = highHalf(job);
    }
  }

  /** HOT PATH. True when no job is in the queue: then the next is its first, whatever the last burst was. */
  isIdle(): boolean {
    return this.words[MGR.EARLIEST_JOB / 4] === -1 && this.words[MGR.NEXT_JOB / 4] === 0;
  }

  /**
   * HOT PATH. Begin the next burst with job `first` of the queue, which is 0 or SECOND_BURST: an empty queue may begin anywhere.
   * Returns where the addresses of its jobs lie.
   */
  beginAt(first: number): number {
    if (first !== 0 && first !== MGR.SECOND_BURST) throw new RangeError(`no burst begins at job ${first}`);
    this.words[MGR.NEXT_JOB / 4] = first * JOB.SIZE;
    return this.#jobsAddress + first * 8;
  }

  /** imb_errno of the last call, 0 when all was well. */
  get error(): number {
    return this.words[MGR.ERRNO / 4]!;
  }

  get errorText(): string {
    return this.#library.errorText(this.error);
  }

  /** Expand an AES key for encryption (`toEncrypt`) and decryption (`toDecrypt`). */
  expandAes(keyLength: number, key: number, toEncrypt: number, toDecrypt: number): void {
    const at = { 16: MGR.KEYEXP_128, 24: MGR.KEYEXP_192, 32: MGR.KEYEXP_256 }[keyLength];
    if (at === undefined) throw new RangeError(`an AES key of ${keyLength} octets`);
    this.#keyFunction(at, 3)(key, toEncrypt, toDecrypt);
  }

  /** Expand an AES key and the hash key of GCM into `keyData`. */
  expandGcm(keyLength: number, key: number, keyData: number): void {
    const at = { 16: MGR.GCM128_PRE, 24: MGR.GCM192_PRE, 32: MGR.GCM256_PRE }[keyLength];
    if (at === undefined) throw new RangeError(`an AES key of ${keyLength} octets`);
    this.#keyFunction(at, 2)(key, keyData);
  }

  /** The three keys of XCBC: a schedule and two blocks (RFC 3566 §4). */
  expandXcbc(key: number, toSchedule: number, toSecond: number, toThird: number): void {
    this.#keyFunction(MGR.XCBC_KEYEXP, 4)(key, toSchedule, toSecond, toThird);
  }

  /** The two blocks that CMAC makes of a schedule (RFC 4493 §2.3). */
  expandCmac(schedule: number, toSecond: number, toThird: number): void {
    this.#keyFunction(MGR.CMAC_SUBKEYS_128, 3)(schedule, toSecond, toThird);
  }

  /** The state of a hash after one block. `functionAt` is one of the SHA*_ONE_BLOCK. */
  hashOneBlock(functionAt: number, block: number, state: number): void {
    this.#keyFunction(functionAt, 2)(block, state);
  }

  /** Overwrite everything, jobs and their remains included. It must not be used afterwards. */
  wipe(): void {
    this.#memory.wipe();
    this.#jobsMemory.wipe();
  }

  #keyFunction(at: number, count: number): KeyFunction {
    const known = this.#keyFunctions.get(at);
    if (known !== undefined) return known;
    const found = this.#function(at, keyPrototype(count)) as KeyFunction;
    this.#keyFunctions.set(at, found);
    return found;
  }

  #function(at: number, type: Prototype): (...args: never[]) => unknown {
    const pointer = (this.words[at / 4]! >>> 0) + this.words[at / 4 + 1]! * 2 ** 32;
    if (pointer === 0) throw new Error(`libIPSec_MB has no function at ${at}`);
    return koffi().decode(BigInt(pointer), type) as (...args: never[]) => unknown;
  }
}

const words = (memory: NativeMemory, length: number): Int32Array =>
  new Int32Array(memory.bytes.buffer, memory.bytes.byteOffset, length / 4);
