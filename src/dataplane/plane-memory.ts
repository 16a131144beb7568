/** All that control and workers share, as one value that a thread can be given; packets are not in it. */
import { Counters } from "../ipsec/counters.ts";
import { Sad } from "../ipsec/sad.ts";
import { Spd } from "../ipsec/spd.ts";
import { CounterBlocks } from "./counter-blocks.ts";
import { handoffMemory } from "./handoff.ts";
import { PolicyMemory } from "./policy-memory.ts";
import { SocketTable } from "./socket-table.ts";
import { Strays } from "./strays.ts";
import { TunnelTable } from "./tunnel-table.ts";
import { WorkerBoard } from "./worker-board.ts";

export interface SharedMemory {
  readonly sad: SharedArrayBuffer;
  readonly spd: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly tunnels: SharedArrayBuffer;
  readonly sockets: SharedArrayBuffer;
  readonly board: SharedArrayBuffer;
  readonly handoff: SharedArrayBuffer;
  readonly policies: SharedArrayBuffer;
  readonly strays: SharedArrayBuffer;
}

/** The tables over it. Each thread makes its own views. */
export class PlaneMemory {
  readonly sad: Sad;
  readonly spd: Spd;
  readonly counters: Counters;
  readonly tunnels: TunnelTable;
  readonly sockets: SocketTable;
  readonly board: WorkerBoard;
  readonly blocks: CounterBlocks;
  readonly policies: PolicyMemory;
  readonly strays: Strays;
  /** Of the rings between threads: see `Handoff`. */
  readonly handoff: SharedArrayBuffer;

  /** `worker`: whose thread this is; 0 for control, to whom it makes no difference. */
  constructor(memory: SharedMemory, worker = 0) {
    this.sad = new Sad(memory.sad);
    this.spd = new Spd(memory.spd);
    this.counters = new Counters(memory.counters);
    this.tunnels = new TunnelTable(memory.tunnels, worker);
    this.sockets = new SocketTable(memory.sockets);
    this.board = new WorkerBoard(memory.board);
    this.blocks = new CounterBlocks(this.sad.capacity, worker);
    this.handoff = memory.handoff;
    this.policies = new PolicyMemory(memory.policies);
    this.strays = new Strays(memory.strays);
  }

  /** `slots`: pairs of SAs, a power of two. `policyOctets`: room for lists of policies. */
  static create(slots: number, workers = 1, policyOctets?: number): PlaneMemory {
    return new PlaneMemory({
      sad: Sad.create(slots).memory,
      spd: Spd.create(slots).memory,
      counters: Counters.create(new CounterBlocks(slots).total).memory,
      tunnels: TunnelTable.create().memory,
      sockets: SocketTable.create().memory,
      board: WorkerBoard.create().memory,
      handoff: handoffMemory(workers),
      policies: PolicyMemory.create(policyOctets).memory,
      strays: Strays.create().memory,
    });
  }

  get shared(): SharedMemory {
    return {
      sad: this.sad.memory,
      spd: this.spd.memory,
      counters: this.counters.memory,
      tunnels: this.tunnels.memory,
      sockets: this.sockets.memory,
      board: this.board.memory,
      handoff: this.handoff,
      policies: this.policies.memory,
      strays: this.strays.memory,
    };
  }
}
