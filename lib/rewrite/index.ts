/**
 * Rewrites manifests as the webhook rewrites objects: each object is planned and completed as a review of its creation, and the patch
 * becomes edits of the text, so that comments, order and quotes stay. The edited text is parsed again and compared; a text that would
 * say anything else is refused.
 */

export { addResults, type Note } from './resource-list.ts';
export { type RewrittenText, rewriteManifests } from './rewrite-manifests.ts';
