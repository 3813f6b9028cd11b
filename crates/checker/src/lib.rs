//! The independent judge: reads captures, the exported log and the upstream's count, and shares no code that could blind both.
