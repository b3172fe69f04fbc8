import type { AccessPolicy } from "../../../gateway/src/access/access-policy.ts";

/** A policy that knows no principals, for servers that only sidecars call. */
export const noPrincipals: AccessPolicy = {
  resources: new Map(),
  isAgent: () => false,
  decide: () => ({
    granted: false,
    unnarrowed: false,
    covers: () => false,
    agents: { all: false, has: () => false, ids: () => [] },
  }),
  mayOwnFor: () => false,
  isCurrent: () => false,
  onChanged: () => () => {},
  recordDenial: () => {},
};
