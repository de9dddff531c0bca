/**
 * Copies of this process: one per target and digest, a limited number at once, shared fairly between namespaces. Reports their
 * progress and sheds load; knows nothing of registries.
 */
export {
  type Copies,
  type Copy,
  type CopyKey,
  type CopyPlace,
  type CopyResult,
  type CopyStatus,
  createCopies,
  type Find,
  toCopyId,
  type Work,
} from './copies.ts';
export { describeProgress } from './describe-progress.ts';
export { createFairQueue } from './fair-queue.ts';
export { createLoadShedder } from './load-shedder.ts';
