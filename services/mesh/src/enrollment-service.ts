import type { ServiceImpl } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  CreateJoinTokenResponseSchema,
  GetNonceResponseSchema,
  IssueTokenResponseSchema,
  JoinResponseSchema,
  type EnrollmentService,
  type KeyProof,
} from "@openhermit/protocol/mesh/v1/enrollment_service";
import type { Enrollment, Proof } from "./enrollment.ts";

const EMPTY = new Uint8Array();

// Validation has required the proof; an empty one is refused like any wrong one.
function proofOf(message: KeyProof | undefined): Proof {
  return message ?? { publicKey: EMPTY, nonce: "", signature: EMPTY };
}

/** The RPCs of EnrollmentService. */
export function createEnrollmentService(options: {
  enrollment: Enrollment;
  /** Throws a MeshError unless somebody else than the gateway starts the sidecars of these agents. */
  mayJoinExternally(agentIds: readonly string[]): Promise<void>;
}): ServiceImpl<typeof EnrollmentService> {
  const { enrollment } = options;
  return {
    async createJoinToken(request) {
      await options.mayJoinExternally(request.agentIds);
      const { joinToken, expireTime } = await enrollment.createJoinToken(request.sidecarId, request.agentIds);
      return create(CreateJoinTokenResponseSchema, { joinToken, expireTime: timestampFromDate(expireTime) });
    },

    async getNonce() {
      return create(GetNonceResponseSchema, { nonce: await enrollment.makeNonce() });
    },

    async join(request) {
      const { sidecarId, agentIds } = await enrollment.join(request.joinToken, proofOf(request.proof));
      return create(JoinResponseSchema, { sidecarId, agentIds });
    },

    async issueToken(request) {
      const { accessToken, lifetimeMs } = await enrollment.issueToken(proofOf(request.proof));
      return create(IssueTokenResponseSchema, { accessToken, lifetime: durationFromMs(lifetimeMs) });
    },
  };
}
