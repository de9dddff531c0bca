/**
 * Writes the answer to a review from its plan and the outcomes: verdict, patch, message, warnings and audit annotations.
 * Pure and synchronous.
 */
export { type CloneOutcomes, completeReview } from './complete.ts';
export { escapePointer } from './patch.ts';
export { formatProblems, toRefusal } from './status.ts';
