// What is installed of others by lock files of its own: the SDKs, clients and servers of the modern era.
import { join } from "node:path";
import { TESTS } from "./home.mjs";

export const MODERN = join(TESTS, "peers-modern");
export const MODERN_PYTHON = join(MODERN, ".venv/bin/python");
