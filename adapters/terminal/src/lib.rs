//! Commands on a pseudo-terminal or on pipes, and the recorder that writes asciicast files.
