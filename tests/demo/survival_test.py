import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "demo"))
import split_patients
import survival


def arm(patients, at_risk, events):
    return {"patients": patients, "at_risk": at_risk, "events": events}


class Survival(unittest.TestCase):
    def test_sums_of_halves_are_the_whole(self):
        a = {"bucket": 28, "patients": 10, "arms": {"0": arm(10, [10, 6], [2, 3])}}
        b = {"bucket": 28, "patients": 5, "arms": {"0": arm(4, [4], [1]), "1": arm(1, [1], [0])}}
        merged = survival.merge([a, b])
        self.assertEqual(merged["patients"], 15)
        self.assertEqual(merged["arms"]["0"], arm(14, [14, 6], [3, 3]))
        self.assertEqual(merged, survival.merge([b, a]) | {"arms": merged["arms"]})

    def test_product_limit(self):
        # Kaplan and Meier (1958), the estimate by hand: (1 - 1/4) (1 - 1/2).
        self.assertEqual(survival.curve(arm(4, [4, 2], [1, 1])), [0.75, 0.375])

    def test_counts_that_cannot_be_are_refused(self):
        for bad in (arm(4, [5], [1]), arm(4, [4], [5]), arm(4, [4, 4], [1, 0]), arm(4, [4], [-1]), arm(4, [4], [0.5]), arm(4, [4, 1], [1])):
            with self.assertRaises(ValueError):
                survival.merge([{"bucket": 28, "patients": 4, "arms": {"0": bad}}])
        with self.assertRaises(ValueError):
            survival.merge([{"bucket": 28, "patients": 0, "arms": {}}, {"bucket": 7, "patients": 0, "arms": {}}])

    def test_plain_drawing_is_ascii(self):
        merged = {"bucket": 28, "patients": 8, "arms": {"0": arm(4, [4, 2], [1, 1]), "1": arm(4, [4, 3], [1, 0])}}
        text = survival.draw(merged, plain=True, colour=False)
        self.assertTrue(text.isascii())
        self.assertIn("log-rank", text)
        self.assertFalse(survival.draw(merged, plain=False, colour=False).isascii())

    def test_every_row_goes_to_one_hospital(self):
        a, b = split_patients.split("h\n1\n2\n3\n")
        self.assertEqual((a, b), ("h\n1\n3\n", "h\n2\n"))


if __name__ == "__main__":
    unittest.main()
