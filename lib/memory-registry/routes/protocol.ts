import type { Tokens } from '../auth/index.ts';
import { type Handler, respondJson, respondRouteError } from '../http/index.ts';
import type { Store } from '../storage/index.ts';
import { serveBlob } from './blob-routes.ts';
import { listReferrers, listRepositories, listTags } from './listing-routes.ts';
import { serveManifest } from './manifest-routes.ts';
import { serveUpload, startUpload } from './upload-routes.ts';

/** @param referrers whether the referrers API exists; without it, clients use tags named `sha256-…` */
export function createProtocol(
  store: Store,
  referrers: boolean,
  tokens: Tokens | undefined,
): Handler {
  return async (exchange) => {
    const { target } = exchange;
    switch (target.kind) {
      case 'root':
        return new Response(null);
      case 'base':
        return respondJson({});
      case 'catalog':
        return listRepositories(store, exchange);
      case 'tags':
        return listTags(store, exchange, target.repository);
      case 'manifest':
        return await serveManifest(store, exchange, target, referrers);
      case 'blob':
        return serveBlob(store, exchange, target);
      case 'uploads':
        return startUpload(store, exchange, target.repository);
      case 'upload':
        return await serveUpload(store, exchange, target);
      case 'referrers':
        return referrers ? listReferrers(store, exchange, target) : respondRouteError(404);
      case 'token':
        return tokens === undefined ? respondRouteError(404) : await tokens.endpoint(exchange);
      case 'unknown':
        return respondRouteError(404);
    }
  };
}
