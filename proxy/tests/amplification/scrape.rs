//! What scrapers make the proxy hold, however much there is to read, however slowly they do, and wherever they leave.

use std::io::Read;

use crate::support::{Proxy, eventually, reset, slow_scraper};
use crate::{MEMORY, SLACK, alone};

const SCRAPERS: usize = 4;

/// A piece that is being sent, with room for a series that did not fit, the next one, and a connection.
const EACH: usize = 256 << 10;

#[test]
fn a_scraper_is_worth_a_piece_of_its_answer() {
    let _alone = alone();
    let discovery = tempfile::tempdir().unwrap();
    let proxy = Proxy::with_series(4, &discovery, &["--access-log", "off"]);
    let whole = proxy.get(&proxy.addresses.metrics, "/metrics").len();
    assert!(whole > 6 << 20, "{whole} bytes are no bulk");
    for path in ["/metrics", "/stats/prometheus"] {
        let (mut scrapers, mut buffer) = (Vec::with_capacity(SCRAPERS), vec![0; 256 << 10]);
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        (0..SCRAPERS).for_each(|_| scrapers.push(slow_scraper(&proxy, path)));
        let mut read = 0;
        // In turn, so that all are in the middle at the same time.
        while read < whole / 2 {
            read += scrapers.iter_mut().map(|scraper| scraper.read(&mut buffer).unwrap()).max().unwrap();
        }
        // Some go, some stay to the end.
        scrapers.drain(SCRAPERS / 2..).for_each(reset);
        for scraper in &mut scrapers {
            while scraper.read(&mut buffer).unwrap() > 0 {}
        }
        let held = MEMORY.peak_usage().saturating_sub(before);
        println!("{path}: {held} bytes were held for {SCRAPERS} scrapers of {whole} bytes each");
        assert!(held <= SCRAPERS * EACH, "{path}: {held} bytes");
        drop((scrapers, buffer));
        eventually("what was held is given back", || MEMORY.current_usage() < before + SLACK);
    }
}
