export { cutPage, pageSizeOf } from "./page.ts";
export { decodePageToken, encodePageToken, pageTokenInvalid } from "./page-token.ts";
