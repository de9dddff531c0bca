/**
 * The webhook configuration, and the objects through which the API server reaches the Knative Service.
 * Changing either rejects no review; objects of other owners stay.
 */
export { findRegistered, readTestedVersion, register, trustBoth } from './registration.ts';
export { findRoutes, removeRoute } from './routes.ts';
