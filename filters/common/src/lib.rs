//! What the filters share, free of any host: peers, labels, codecs, configuration, host traits.
