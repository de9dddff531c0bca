/**
 * Older copies of a tag in the backup: list them, roll back to one, prune them. A generation stays if it is uncertain whether
 * it is in use.
 */
export {
  findListedTag,
  type Generation,
  generationsOf,
  maxConcurrentRequests,
  readHoldings,
} from './generations.ts';
export type { OldGeneration } from './plan-removal.ts';
export { type PruneRules, planPrune, removeGeneration } from './prune.ts';
export type { RemovalResult } from './remove.ts';
export { type RollbackContext, release, rollBack } from './rollback.ts';
