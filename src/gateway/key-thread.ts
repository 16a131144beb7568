/** What a thread of the key pool runs. */
import { doTask, type KeyTask, type KeyTaskDone } from "./key-memory.ts";

export default (task: KeyTask): KeyTaskDone => doTask(task);
