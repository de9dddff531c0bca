/** The public API of the core: these names are stable. It exports no adapter. */
export { completeReview } from './admission/answer/index.ts';
export type { ReviewOptions } from './admission/deadline.ts';
export type { AdmissionHandler } from './admission/handler.ts';
export { planReview, type ReviewPlan } from './admission/plan.ts';
export type { ReviewPolicy } from './admission/policy.ts';
export type { AdmissionReview } from './admission/review.ts';
export { type Config, parseConfig } from './config/config.ts';
export { type AdmissionHandlerDeps, createAdmissionHandler } from './create-admission-handler.ts';
export { CloneError, type CloneErrorCode, type Side } from './errors.ts';
export {
  type BackupLocation,
  backupReference,
  isBackup,
  type Naming,
} from './image/backup-name.ts';
export { formatReference, parseReference, type Reference } from './image/reference.ts';
export type * from './ports/index.ts';
