//! The site's database: migrations, repositories, and the fence between two generations.
