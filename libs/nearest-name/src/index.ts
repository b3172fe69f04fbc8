export { didYouMean } from "./nearest-name.ts";
