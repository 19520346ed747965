export { findPulled, hubCacheFolder, listPulled, type PulledModel } from "./hub/cache.ts";
