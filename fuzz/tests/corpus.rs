//! Every input that was ever worth keeping is run again.

use std::fs;
use std::path::Path;

use hoox_fuzz::TARGETS;

#[test]
fn the_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let inputs: Vec<_> = fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("{name} has no corpus: {error}"))
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!inputs.is_empty(), "{name} has an empty corpus");
        for input in inputs {
            let data = fs::read(&input).unwrap_or_else(|error| panic!("{input:?}: {error}"));
            println!("{}", input.display());
            target(&data);
        }
    }
}
