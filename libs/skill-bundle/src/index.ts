export { MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES, type BundleFile, type SkillProblem } from "./bundle-file.ts";
export { checkSkill } from "./check-skill.ts";
export { packBundle, unpackBundle } from "./pack-bundle.ts";
export { skillBody } from "./skill-text.ts";
export { removeBundle, writeBundle } from "./write-bundle.ts";
