//! Which of several endpoints gets the next connection or request: of two that chance names, the one with the lower load.
//!
//! It knows neither what an endpoint is nor whether it works: the list holds those that may be chosen. Randomness and load
//! are arguments. Two choices keep the load even as well as a look at all of them would (Mitzenmacher, "The Power of Two
//! Choices in Randomized Load Balancing", 2001), at the same price for ten endpoints and for ten thousand; and since
//! chance takes part, the proxies of a mesh do not all run to the endpoint that looks idle.

mod load;

pub use load::{Held, Load};

/// How requests are divided.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// Which of two endpoints of a Service, named by chance, gets the next connection or request
    #[arg(
        long,
        env = "REMORA_LOAD_BALANCER",
        default_value = "least-request",
        value_enum,
        value_name = "POLICY"
    )]
    pub load_balancer: Policy,
}

/// What makes an endpoint the better one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Policy {
    /// It has fewer connections and requests.
    LeastRequest,
    /// It is the faster one for as many requests, by the average of the times to its responses, in which a slow one counts at
    /// once (exponentially weighted, with peaks).
    PeakEwma,
}

/// Chooses one of `candidates`. `random` gives a number below its argument, each with the same probability; of equal
/// costs the first named wins.
pub fn choose<T>(
    candidates: &[T],
    cost: impl Fn(&T) -> f64,
    mut random: impl FnMut(usize) -> usize,
) -> Option<&T> {
    let first = match candidates.len() {
        0 | 1 => return candidates.first(),
        count => random(count),
    };
    // The second is another one: the numbers from `first` on are moved by one.
    let second = random(candidates.len() - 1);
    let second = if second >= first { second + 1 } else { second };
    match (candidates.get(first), candidates.get(second)) {
        (Some(first), Some(second)) if cost(second) < cost(first) => Some(second),
        (first, second) => first.or(second),
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use proptest::prelude::*;

    fn chosen(loads: &[u32], mut numbers: Vec<usize>) -> Option<u32> {
        let random = |bound: usize| numbers.pop().expect("two numbers suffice") % bound;
        choose(loads, |load| f64::from(*load), random).copied()
    }

    #[test]
    fn nobody_and_only_one() {
        assert_eq!(chosen(&[], vec![]), None);
        assert_eq!(chosen(&[7], vec![]), Some(7));
    }

    proptest! {
        // proptest prints the failing case and its seed.
        #[test]
        fn the_busiest_of_several_is_never_chosen(loads in proptest::collection::hash_set(0_u32..1000, 2..50),
                                                  numbers in proptest::collection::vec(any::<usize>(), 2)) {
            let loads: Vec<u32> = loads.into_iter().collect();
            let busiest = loads.iter().max().copied();
            prop_assert_ne!(chosen(&loads, numbers), busiest);
        }

        /// A seed, since `random` is not to be a constant: then there would be no two choices.
        #[test]
        fn connections_that_stay_are_spread_evenly(count in 1_usize..20, seed: u64) {
            let (mut loads, mut numbers) = (vec![0_u32; count], fastrand::Rng::with_seed(seed));
            let mut random = |bound: usize| numbers.usize(..bound);
            let indices: Vec<usize> = (0..count).collect();
            for _ in 0..count * 50 {
                let at = *choose(&indices, |index| f64::from(loads[*index]), &mut random).unwrap();
                loads[at] += 1;
            }
            // One random choice would leave a spread of some tens. Nobody gets much more than all others; who has fewer has not been
            // named for long, which chance makes 9 in one of 10,000 runs.
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            prop_assert!(*most <= 50 + 3 && most - least <= 16, "{loads:?}");
        }
    }
}
